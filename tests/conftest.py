"""Settings of all tests: how long an example takes says how busy the machine is, no more."""

from hypothesis import settings

settings.register_profile("litecot", deadline=None)
settings.load_profile("litecot")
