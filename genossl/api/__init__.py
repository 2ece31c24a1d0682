"""genossl in a notebook: what `import genossl` offers, a file per idea."""
