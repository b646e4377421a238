"""What a person sees while a run goes on: on the terminal and in Prefect's UI."""
