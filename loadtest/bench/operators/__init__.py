"""B13 and B14: operators in front of tools/fakeapi, so that thousands of nodes need no machines."""
