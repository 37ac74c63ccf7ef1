"""Configurations, tasks, the loop and what surrounds it; knows no task by name."""
