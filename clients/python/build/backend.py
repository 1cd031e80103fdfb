# SPDX-License-Identifier: Apache-2.0
"""Builds the package with nothing but Python (PEP 517 and 660), so that `pip install` of this
folder needs no network.  The package is pure Python, without dependencies and without scripts:
a wheel of it is a zip file with three texts beside the modules."""

import base64
import hashlib
import io
import os
import pathlib
import re
import tarfile
import zipfile

HERE = pathlib.Path(__file__).resolve().parent.parent
EPOCH = (1980, 1, 1, 0, 0, 0)


def setting(name):
    found = re.search(rf'^{name} = "([^"]*)"$', (HERE / "pyproject.toml").read_text(), re.MULTILINE)
    return found.group(1)


def full_name():
    return f"{setting('name')}-{setting('version')}"


def metadata():
    return (f"Metadata-Version: 2.1\nName: {setting('name')}\nVersion: {setting('version')}\n"
            f"Summary: {setting('description')}\nLicense: Apache-2.0\n"
            f"Requires-Python: {setting('requires-python')}\n"
            "Description-Content-Type: text/markdown\n\n" + (HERE / "README.md").read_text())


def modules():
    for path in sorted((HERE / "keybrake").rglob("*")):
        if path.suffix == ".py" or path.name == "py.typed":
            yield path.relative_to(HERE).as_posix(), path.read_bytes()


def write_wheel(directory, files):
    name = f"{full_name()}-py3-none-any.whl"
    info = f"{full_name()}.dist-info"
    files = dict(files)
    files[f"{info}/METADATA"] = metadata().encode()
    files[f"{info}/WHEEL"] = (b"Wheel-Version: 1.0\nGenerator: keybrake\n"
                              b"Root-Is-Purelib: true\nTag: py3-none-any\n")
    record = "".join(
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip('=')}"
        f",{len(data)}\n" for path, data in files.items())
    files[f"{info}/RECORD"] = (record + f"{info}/RECORD,,\n").encode()
    with zipfile.ZipFile(os.path.join(directory, name), "w", zipfile.ZIP_DEFLATED) as wheel:
        for path, data in files.items():
            entry = zipfile.ZipInfo(path, EPOCH)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            wheel.writestr(entry, data)
    return name


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    return write_wheel(wheel_directory, modules())


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    return write_wheel(wheel_directory, [("keybrake.pth", f"{HERE}\n".encode())])


def build_sdist(sdist_directory, config_settings=None):
    name = f"{full_name()}.tar.gz"
    files = dict(modules())
    for path in ("pyproject.toml", "README.md", "build/backend.py"):
        files[path] = (HERE / path).read_bytes()
    files["PKG-INFO"] = metadata().encode()
    with tarfile.open(os.path.join(sdist_directory, name), "w:gz") as archive:
        for path, data in files.items():
            entry = tarfile.TarInfo(f"{full_name()}/{path}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return name
