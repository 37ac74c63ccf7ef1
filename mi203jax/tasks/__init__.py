"""The tasks of the course, one module each: `Task(init, step, evaluate, figures)`."""
