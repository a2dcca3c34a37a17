"""What tests/conftest.py adds to pytest."""
