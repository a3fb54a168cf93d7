"""What pyproject.toml cannot say: a line that Python runs when it starts."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildPy(build_py):
    """Also installs ``cranium.pth``, which lets configs inherit from ``cranium::``."""

    def run(self) -> None:
        """Build, and write the file beside the package: in a wheel or an editable install."""
        super().run()
        editable = self.editable_mode
        beside = (
            self.get_finalized_command('install').install_purelib if editable else self.build_lib
        )
        line = 'import cranium.openmmlab; cranium.openmmlab.accept_cranium_configs()\n'
        Path(beside, 'cranium.pth').write_text(line)


setup(cmdclass={'build_py': BuildPy})
