"""Packages of npm that a test needs: those of its package-lock.json, in the build directory.

    npm_packages.install(source_directory, work_directory)

Nothing is fetched once they are there, so that later runs need no network. The lock file holds digests and no download
addresses (omit-lockfile-registry-resolved), so that whatever registry npm is set up for will do.
"""
import hashlib
import os
import shutil
import subprocess


def install(source_directory, work_directory):
    """The packages in work_directory/node_modules, if they aren't there already, and the *.mjs files beside them."""
    os.makedirs(work_directory, exist_ok=True)
    with open(os.path.join(source_directory, "package-lock.json"), "rb") as file:
        wanted = hashlib.sha256(file.read()).hexdigest()
    stamp = os.path.join(work_directory, "installed")
    if read_text(stamp) != wanted:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(os.path.join(source_directory, name), work_directory)
        subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"],
                       cwd=work_directory, stdin=subprocess.DEVNULL, check=True)
        with open(stamp, "w", encoding="ascii") as file:
            file.write(wanted)
    for name in os.listdir(source_directory):
        if name.endswith(".mjs"):
            shutil.copy(os.path.join(source_directory, name), work_directory)


def read_text(path):
    try:
        with open(path, encoding="ascii") as file:
            return file.read()
    except FileNotFoundError:
        return None
