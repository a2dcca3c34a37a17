"""Chaos during load: actions by name, what they strike, and the schedule that marks each with its recovery."""
