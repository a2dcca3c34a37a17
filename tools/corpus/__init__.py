"""The configurations that `corepod migrate` is measured on (tests/corpus), and how much of them it covers."""
