"""When: the flows, and what a person sees of them. The only folder that imports prefect."""
