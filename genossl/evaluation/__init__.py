"""What is measured: splits, scores, heads, verdicts and figures; arrays in, numbers out, no torch."""
