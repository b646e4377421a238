"""Settings of all tests: how long an example takes says how busy the machine is, no more.

A session starts some hundred processes that import the same libraries. Compiling those anew in each
takes half of its time, so their bytecode is kept, whatever PYTHONDONTWRITEBYTECODE says here.
"""

import os
import signal
import sys
import tempfile
from collections.abc import Iterator

import pytest
from hypothesis import settings

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Several models compute at once here, each on all cores: threads that wait for their fellows by
# spinning take the cores from them.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# A shell's background job ignores Ctrl-C, and so would all that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# What tests find sound is forgotten with them; workers and commands inherit it.
if "LITECOT_CACHE" not in os.environ:
    _cache = tempfile.TemporaryDirectory(prefix="litecot-cache-")
    os.environ["LITECOT_CACHE"] = _cache.name

settings.register_profile("litecot", deadline=None)
settings.load_profile("litecot")


@pytest.fixture
def forgotten() -> Iterator[None]:
    """No plug-in that the test loads stays."""
    from tasks import plugins
    from tasks.registry import REGISTRIES

    before = {id(registry): dict(registry.entries) for registry in REGISTRIES}
    loaded = dict(plugins._loaded)
    yield
    for registry in REGISTRIES:
        registry._entries = before[id(registry)]
    plugins._loaded.clear()
    plugins._loaded.update(loaded)
