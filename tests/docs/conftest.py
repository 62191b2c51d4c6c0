"""The commands that a page shows are run as the tests of the commands run them."""

from tests.registry.commands.conftest import lading, prepared_root, root

__all__ = ["lading", "prepared_root", "root"]
