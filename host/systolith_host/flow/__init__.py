"""From a request to a report: what the command line and the Python interface share."""
