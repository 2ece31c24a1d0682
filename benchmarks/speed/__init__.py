"""How fast is genossl beside what else one would use? One file per table; benchmarks/bench.py runs them."""
