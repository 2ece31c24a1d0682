"""What methods are written in: the contract, heads and losses."""
