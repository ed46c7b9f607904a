"""Makes an OCI image of Ringway without a container engine: one program and certificates, no shell, no user but 65532.

    python3 deploy/image.py --version V --commit C --epoch SECONDS --certificates FILE --output FILE TARGET=PROGRAM…

Writes an OCI layout as a tar file: one index, with an image for each target. The same input gives the same bytes.
`skopeo copy oci-archive:FILE docker://REGISTRY/ringway:V --all` pushes it, and `docker load --input FILE` takes it.
"""

import argparse
import gzip
import hashlib
import io
import json
import pathlib
import tarfile
import time

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
USER = 65532
PASSWD = f"root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:{USER}:{USER}:nonroot:/:/sbin/nologin\n"
GROUP = f"root:x:0:\nnonroot:x:{USER}:\n"


def main():
    parser = argparse.ArgumentParser()
    for option in ["--version", "--commit", "--certificates", "--output"]:
        parser.add_argument(option, required=True)
    parser.add_argument("--epoch", required=True, type=int)
    parser.add_argument("programs", nargs="+")
    options = parser.parse_args()

    blobs = {}
    manifests = []
    for pair in options.programs:
        target, program = pair.split("=", 1)
        manifests.append(image(blobs, options, ARCHITECTURES[target.split("-")[0]], program))
    index = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": manifests,
    }
    entry = put(blobs, dump(index), index["mediaType"])
    entry["annotations"] = {
        "org.opencontainers.image.ref.name": options.version,
        # The name that `docker load` gives it.
        "io.containerd.image.name": f"docker.io/library/ringway:{options.version}",
    }
    files = {f"blobs/sha256/{digest}": data for digest, data in blobs.items()}
    files["index.json"] = dump({"schemaVersion": 2, "manifests": [entry]})
    files["oci-layout"] = dump({"imageLayoutVersion": "1.0.0"})
    pathlib.Path(options.output).write_bytes(tar(files, options.epoch))


def image(blobs, options, architecture, program):
    """Adds the image of one program; returns its entry in the index."""
    root = {
        "usr/local/bin/ringway": (pathlib.Path(program).read_bytes(), 0o755),
        "etc/ssl/certs/ca-certificates.crt": pathlib.Path(options.certificates).read_bytes(),
        "etc/passwd": PASSWD.encode(),
        "etc/group": GROUP.encode(),
    }
    # For the configuration, for `takeover` and unix sockets, and for `missed_writes.dir` and `state_dir`.
    folders = {"etc/ringway": 0, "run/ringway": USER, "var/lib/ringway": USER}
    layer = tar(root, options.epoch, folders)
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(options.epoch))
    labels = {
        "org.opencontainers.image.title": "ringway",
        "org.opencontainers.image.description": "A routing sidecar for memcached",
        "org.opencontainers.image.version": options.version,
        "org.opencontainers.image.revision": options.commit,
        "org.opencontainers.image.created": created,
        "org.opencontainers.image.licenses": "MIT OR Apache-2.0",
    }
    config = {
        "architecture": architecture,
        "os": "linux",
        "created": created,
        "config": {
            "User": f"{USER}:{USER}",
            "Entrypoint": ["/usr/local/bin/ringway"],
            "Cmd": ["--config", "/etc/ringway/ringway.yaml"],
            "Env": ["PATH=/usr/local/bin", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"],
            "ExposedPorts": {"11211/tcp": {}, "9155/tcp": {}},
            "Labels": labels,
            "StopSignal": "SIGTERM",
            # Docker's; in nanoseconds.
            "Healthcheck": {
                "Test": ["CMD", "/usr/local/bin/ringway", "health"],
                "Interval": 10_000_000_000,
                "Timeout": 3_000_000_000,
                "StartPeriod": 5_000_000_000,
                "Retries": 3,
            },
        },
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]},
        "history": [{"created": created, "created_by": "deploy/release"}],
    }
    packed = gzip.compress(layer, 9, mtime=0)
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": put(blobs, dump(config), "application/vnd.oci.image.config.v1+json"),
        "layers": [put(blobs, packed, "application/vnd.oci.image.layer.v1.tar+gzip")],
        "annotations": labels,
    }
    entry = put(blobs, dump(manifest), manifest["mediaType"])
    entry["platform"] = {"architecture": architecture, "os": "linux"}
    return entry


def put(blobs, data, kind):
    digest = hashlib.sha256(data).hexdigest()
    blobs[digest] = data
    return {"mediaType": kind, "digest": "sha256:" + digest, "size": len(data)}


def dump(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def tar(files, epoch, folders=None):
    """A tar file of `files` by path, and of `folders` by path with their owner; parents come first."""
    entries = {}
    owners = folders or {}
    for path in [*files, *owners]:
        for parent in list(pathlib.PurePosixPath(path).parents)[-2::-1]:
            entries[str(parent)] = None
    entries.update({path: None for path in owners})
    entries.update(files)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path, content in sorted(entries.items()):
            data, mode = content if isinstance(content, tuple) else (content, 0o644)
            entry = tarfile.TarInfo(path)
            entry.mtime = epoch
            entry.uid = entry.gid = owners.get(path, 0)
            if data is None:
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(entry)
            else:
                entry.size, entry.mode = len(data), mode
                archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


main()
