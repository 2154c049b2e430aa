#!/usr/bin/python3
"""Lints the OpenAPI document that a node gives, with lint.mjs; ends with a line "N passed, N failed".

  run.py --binary CAIRN --work DIR [--slowness F]

DIR is where the linter's packages are installed. That nodes do what the document says is tested in tests/cluster.
"""
import argparse
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(HERE))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "cluster"))
import cluster as harness  # noqa: E402  pylint: disable=wrong-import-position
import npm_packages  # noqa: E402  pylint: disable=wrong-import-position


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--work", required=True)
    parser.add_argument("--slowness", type=float, default=1.0)
    options = parser.parse_args()
    harness.binary = os.path.abspath(options.binary)
    harness.slowness = options.slowness
    npm_packages.install(HERE, options.work)
    document = json.dumps(harness.openapi_document())
    linted = subprocess.run(["node", "lint.mjs"], cwd=options.work, input=document, text=True, check=False)
    return linted.returncode


if __name__ == "__main__":
    sys.exit(main())
