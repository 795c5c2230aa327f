"""What all tests of gateware need."""


def pytest_configure(config):
    # A component whose constructor refuses its arguments counts as unused, and Amaranth says so
    # whenever it is collected, in whichever test runs then.
    config.addinivalue_line("filterwarnings", "ignore:.* created but never used")
