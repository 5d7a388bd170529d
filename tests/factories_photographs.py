"""Photographs with what cameras and drones write into them."""

import numpy as np
from PIL import Image
from PIL.ExifTags import GPS, IFD, Base
from PIL.TiffImagePlugin import IFDRational

DJI = "http://www.dji.com/drone-dji/1.0/"


def degrees(value):
    """Return an angle as EXIF has it: degrees, minutes and seconds."""
    whole = int(abs(value))
    minutes = int((abs(value) - whole) * 60)
    seconds = (abs(value) - whole - minutes / 60) * 3600
    return whole, minutes, IFDRational(round(seconds * 1_000_000), 1_000_000)


def make_exif(
    lonlat=None,
    *,
    altitude=None,
    time=None,
    part=None,
    offset=None,
    focal=None,
    film=None,
    density=None,
    unit=None,
    columns=None,
    rows=None,
    zoom=None,
    camera=("DJI", "FC6310"),
    orientation=None,
):
    """Return EXIF data; what is None is left out."""
    exif = Image.Exif()
    main = {Base.Make: camera[0], Base.Model: camera[1], Base.Orientation: orientation}
    exif.update({tag: value for tag, value in main.items() if value is not None})
    details = {
        Base.DateTimeOriginal: time,
        Base.SubsecTimeOriginal: part,
        Base.OffsetTimeOriginal: offset,
        Base.FocalLength: focal and IFDRational(round(focal * 1000), 1000),
        Base.FocalLengthIn35mmFilm: film,
        Base.FocalPlaneXResolution: density and IFDRational(round(density * 1000), 1000),
        Base.FocalPlaneResolutionUnit: unit,
        Base.ExifImageWidth: columns,
        Base.ExifImageHeight: rows,
        Base.DigitalZoomRatio: zoom and IFDRational(round(zoom * 100), 100),
    }
    exif.get_ifd(IFD.Exif).update({t: v for t, v in details.items() if v is not None})
    place = {}
    if lonlat is not None:
        lon, lat = lonlat
        place = {
            GPS.GPSLatitudeRef: "S" if lat < 0 else "N",
            GPS.GPSLatitude: degrees(lat),
            GPS.GPSLongitudeRef: "W" if lon < 0 else "E",
            GPS.GPSLongitude: degrees(lon),
        }
    if altitude is not None:
        place[GPS.GPSAltitudeRef] = b"\1" if altitude < 0 else b"\0"
        place[GPS.GPSAltitude] = IFDRational(round(abs(altitude) * 1000), 1000)
    exif.get_ifd(IFD.GPSInfo).update(place)
    return exif


def make_xmp(**values):
    """Return an XMP packet as drones of DJI write it, with attributes by name."""
    texts = " ".join(f'drone-dji:{name}="{value}"' for name, value in values.items())
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
        f'rdf:about="DJI Meta Data" xmlns:drone-dji="{DJI}" {texts}/></rdf:RDF></x:xmpmeta>'
        '<?xpacket end="w"?>'
    ).encode()


def nadir_pose(height, yaw=0.0, pitch=-90.0, roll=0.0):
    """Return the XMP packet of a drone that looks down."""
    return make_xmp(
        RelativeAltitude=f"{height:+.2f}",
        GimbalYawDegree=f"{yaw:+.2f}",
        GimbalPitchDegree=f"{pitch:+.2f}",
        GimbalRollDegree=f"{roll:+.2f}",
        FlightYawDegree="+12.00",
    )


def write_photograph(path, pixels=None, *, xmp=None, **tags):
    """Write a picture (H, W, 3), with EXIF data of :func:`make_exif`; return its path."""
    image = Image.fromarray(np.full((30, 40, 3), 128, np.uint8) if pixels is None else pixels)
    exif = make_exif(**tags)
    if xmp is not None:
        exif[700] = xmp  # where a TIFF has it
    image.save(path, exif=exif.tobytes(), quality=95, **({} if xmp is None else {"xmp": xmp}))
    return path
