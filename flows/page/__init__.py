"""The page of a run: one HTML file of all that it came to, for a browser, offline.

write_page(database, Path("report.html"), corpus="corpus")
"""
