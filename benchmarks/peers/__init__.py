"""The contestants of the training benchmark, one module each, and what runs, checks and compares them."""
