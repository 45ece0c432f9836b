"""Many projects or packages at once: tasks, an executor, a journal of finished work, and the data set."""
