"""Packs the Helm chart into the folder that is named: the same bytes for one commit.

    SOURCE_DATE_EPOCH=… target/kubernetes/bin/python tests/kubernetes/package.py dist
"""

import gzip
import io
import os
import pathlib
import sys
import tarfile

from helm_python import Chart

ROOT = pathlib.Path(__file__).resolve().parents[2]

with Chart.load(ROOT / "deploy/helm/ringway") as chart:
    packed = pathlib.Path(chart.save(sys.argv[1]))
# Helm writes the time of packing into each entry.
plain = io.BytesIO()
with tarfile.open(packed) as source, tarfile.open(fileobj=plain, mode="w") as target:
    for entry in sorted(source.getmembers(), key=lambda entry: entry.name):
        entry.mtime = int(os.environ["SOURCE_DATE_EPOCH"])
        target.addfile(entry, source.extractfile(entry))
packed.write_bytes(gzip.compress(plain.getvalue(), 9, mtime=0))
