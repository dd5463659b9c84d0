"""Change a graph's weights by local rules, in place of training."""
