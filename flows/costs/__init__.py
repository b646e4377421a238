"""What a run will cost before it starts: requests, tokens, GPU hours, price."""
