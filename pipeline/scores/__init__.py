"""From mask tables to counts, and from counts to scores, intervals and comparisons."""
