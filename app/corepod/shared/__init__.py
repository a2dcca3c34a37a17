"""State and messages that the workers of all pools and pods share."""
