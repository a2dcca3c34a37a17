"""A user's package that is called app, as corepod's own source folder is."""
