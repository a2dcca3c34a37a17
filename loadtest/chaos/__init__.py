"""Chaos during load: actions by name, the faults they inject, and the schedule that measures each recovery."""
