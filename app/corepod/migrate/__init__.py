"""From the configuration of another server or process manager to that of corepod: what `corepod migrate` says."""
