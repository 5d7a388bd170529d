"""A loopback server of buckets that answers as S3, GCS and Azure do to listings and ranges."""

import contextlib
import threading
from http.server import ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from range_handler import RangeHandler


class ObjectStore(ThreadingHTTPServer):
    """Serves objects by bucket and key."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, buckets):
        super().__init__(("127.0.0.1", 0), _Objects)
        self.buckets, self.asked = buckets, []

    @property
    def environment(self):
        """Variables with which GDAL finds the store."""
        here = f"http://127.0.0.1:{self.server_port}"
        azure = {"AccountName": "account", "AccountKey": "a2V5", "BlobEndpoint": here}
        return {
            "CPL_GS_ENDPOINT": f"{here}/",
            "GS_NO_SIGN_REQUEST": "YES",
            "AZURE_NO_SIGN_REQUEST": "YES",
            "AZURE_STORAGE_CONNECTION_STRING": ";".join(map("=".join, azure.items())),
            "AWS_S3_ENDPOINT": f"127.0.0.1:{self.server_port}",
            "AWS_HTTPS": "NO",
            "AWS_VIRTUAL_HOSTING": "FALSE",
            "AWS_NO_SIGN_REQUEST": "YES",
        }


class _Objects(RangeHandler):
    def _answer(self, *, is_head):
        self.server.asked.append(self.path)
        split = urlsplit(self.path)
        bucket, _, key = unquote(split.path).lstrip("/").partition("/")
        objects = self.server.buckets.get(bucket, {})
        if not key and not is_head:
            query = {name: values[0] for name, values in parse_qs(split.query).items()}
            is_azure = query.get("comp") == "list"
            return self.say(200, _list_objects(objects, **_known(query), is_azure=is_azure))
        if key not in objects:
            return self.say(404, b"")
        content = objects[key]
        first, last, is_part = self.wanted(len(content))
        if not is_part:
            return self.say(200, b"" if is_head else content, {}, len(content))
        where = {"Content-Range": f"bytes {first}-{last}/{len(content)}"}
        return self.say(206, content[first : last + 1], where)


def _known(query):
    return {name: query.get(name, "") for name in ("prefix", "delimiter")}


def _list_objects(objects, *, prefix, delimiter, is_azure):
    """Return the objects below a prefix in XML, and the folders, which end with the delimiter."""
    files, folders = [], {}
    for key in sorted(key for key in objects if key.startswith(prefix)):
        rest = key[len(prefix) :]
        if delimiter and delimiter in rest:
            folders[prefix + rest.partition(delimiter)[0] + delimiter] = None
        else:
            files.append(key)
    if is_azure:
        return _list_blobs(objects, prefix, files, folders)
    found = [
        f"<Contents><Key>{escape(key)}</Key><Size>{len(objects[key])}</Size>"
        "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
        for key in files
    ]
    common = [f"<CommonPrefixes><Prefix>{escape(f)}</Prefix></CommonPrefixes>" for f in folders]
    return (
        '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult '
        'xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Prefix>{escape(prefix)}</Prefix><IsTruncated>false</IsTruncated>"
        f"{''.join(found)}{''.join(common)}</ListBucketResult>"
    ).encode()


def _list_blobs(objects, prefix, files, folders):
    """Return the same in the XML of Azure."""
    blobs = [
        f"<Blob><Name>{escape(key)}</Name><Properties>"
        "<Last-Modified>Thu, 01 Jan 2026 00:00:00 GMT</Last-Modified>"
        f"<Content-Length>{len(objects[key])}</Content-Length></Properties></Blob>"
        for key in files
    ]
    below = [f"<BlobPrefix><Name>{escape(name)}</Name></BlobPrefix>" for name in folders]
    return (
        '<?xml version="1.0" encoding="UTF-8"?><EnumerationResults>'
        f"<Prefix>{escape(prefix)}</Prefix><Blobs>{''.join(blobs)}{''.join(below)}</Blobs><NextMarker/></EnumerationResults>"
    ).encode()


@contextlib.contextmanager
def serving_buckets(buckets):
    """Yield a store of objects by bucket and key."""
    with ObjectStore(buckets) as store:
        thread = threading.Thread(target=store.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield store
        finally:
            store.shutdown()
            thread.join()
