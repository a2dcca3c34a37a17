"""B13 and B14: operators before the API server of the tests, so that thousands of nodes cost nobody a machine."""
