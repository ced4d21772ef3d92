"""One module a question: it runs the measurement and returns a Result. It formats nothing."""
