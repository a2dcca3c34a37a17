"""A run for people: one HTML page that needs nothing else, and a table for the terminal."""
