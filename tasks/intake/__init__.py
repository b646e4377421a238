"""Files and hub data sets to problems: readers, columns, values, hygiene."""
