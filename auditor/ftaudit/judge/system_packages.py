"""Which packages of Debian, Fedora, and Homebrew provide a header, a library, or a program."""

from __future__ import annotations

from typing import Final

from ftaudit.model.local_builds import SystemPackages


def find_packages(missing: str) -> SystemPackages | None:
    """Return the packages of Debian, Fedora, and Homebrew that provide a header, a library, or a program."""
    wanted = missing.lower()
    for names, debian, fedora, homebrew in _PACKAGES:
        if any(wanted == name or (name.endswith("/") and wanted.startswith(name)) for name in names.split()):
            return SystemPackages(debian=debian, fedora=fedora, homebrew=homebrew)
    return None


_PACKAGES: Final = (
    ("python.h pyconfig.h", "python3-dev", "python3-devel", "python"),
    ("openssl/ openssl ssl crypto libssl libcrypto", "libssl-dev", "openssl-devel", "openssl@3"),
    ("ffi.h ffi libffi", "libffi-dev", "libffi-devel", "libffi"),
    ("zlib.h z zlib", "zlib1g-dev", "zlib-devel", "zlib"),
    ("bzlib.h bz2", "libbz2-dev", "bzip2-devel", "bzip2"),
    ("lzma.h lzma liblzma", "liblzma-dev", "xz-devel", "xz"),
    ("zstd.h zstd libzstd", "libzstd-dev", "libzstd-devel", "zstd"),
    ("lz4.h lz4 liblz4", "liblz4-dev", "lz4-devel", "lz4"),
    ("snappy-c.h snappy.h snappy", "libsnappy-dev", "snappy-devel", "snappy"),
    ("brotli/ brotlienc libbrotlienc", "libbrotli-dev", "brotli-devel", "brotli"),
    (
        "mysql.h mysql_config mysqlclient mariadb mariadb_config",
        "default-libmysqlclient-dev",
        "mariadb-connector-c-devel",
        "mysql-client",
    ),
    ("libpq-fe.h pq libpq pg_config", "libpq-dev", "libpq-devel", "libpq"),
    ("sqlite3.h sqlite3", "libsqlite3-dev", "sqlite-devel", "sqlite"),
    ("sql.h sqlext.h odbc", "unixodbc-dev", "unixODBC-devel", "unixodbc"),
    ("sybdb.h sybdb", "freetds-dev", "freetds-devel", "freetds"),
    ("ldap.h lber.h ldap lber", "libldap2-dev", "openldap-devel", "openldap"),
    ("sasl/ sasl2", "libsasl2-dev", "cyrus-sasl-devel", "cyrus-sasl"),
    ("krb5.h gssapi/ gssapi.h krb5-config", "libkrb5-dev", "krb5-devel", "krb5"),
    ("curl/ curl libcurl curl-config", "libcurl4-openssl-dev", "libcurl-devel", "curl"),
    ("libxml/ xml2 libxml-2.0 xml2-config", "libxml2-dev", "libxml2-devel", "libxml2"),
    ("libxslt/ xslt libxslt xslt-config", "libxslt1-dev", "libxslt-devel", "libxslt"),
    ("xmlsec/ xmlsec1", "libxmlsec1-dev", "xmlsec1-devel", "libxmlsec1"),
    ("expat.h expat", "libexpat1-dev", "expat-devel", "expat"),
    ("yaml.h yaml yaml-0.1", "libyaml-dev", "libyaml-devel", "libyaml"),
    ("jpeglib.h jpeg libjpeg", "libjpeg-dev", "libjpeg-turbo-devel", "jpeg-turbo"),
    ("png.h png libpng", "libpng-dev", "libpng-devel", "libpng"),
    ("tiff.h tiffio.h tiff libtiff-4", "libtiff-dev", "libtiff-devel", "libtiff"),
    ("ft2build.h freetype freetype2", "libfreetype-dev", "freetype-devel", "freetype"),
    ("cairo.h cairo", "libcairo2-dev", "cairo-devel", "cairo"),
    ("glib.h glib-2.0", "libglib2.0-dev", "glib2-devel", "glib"),
    (
        "girepository.h girepository-2.0 gobject-introspection-1.0",
        "libgirepository-2.0-dev",
        "gobject-introspection-devel",
        "gobject-introspection",
    ),
    ("dbus/ dbus-1", "libdbus-1-dev", "dbus-devel", "dbus"),
    ("systemd/ systemd libsystemd", "libsystemd-dev", "systemd-devel", "—"),
    ("gmp.h gmp", "libgmp-dev", "gmp-devel", "gmp"),
    ("mpfr.h mpfr", "libmpfr-dev", "mpfr-devel", "mpfr"),
    ("mpc.h mpc", "libmpc-dev", "libmpc-devel", "libmpc"),
    ("hdf5.h hdf5", "libhdf5-dev", "hdf5-devel", "hdf5"),
    ("netcdf.h netcdf", "libnetcdf-dev", "netcdf-devel", "netcdf"),
    ("geos_c.h geos_c geos", "libgeos-dev", "geos-devel", "geos"),
    ("proj.h proj", "libproj-dev", "proj-devel", "proj"),
    ("gdal.h gdal gdal-config", "libgdal-dev", "gdal-devel", "gdal"),
    ("openblas cblas.h blas lapack lapacke.h", "libopenblas-dev", "openblas-devel", "openblas"),
    ("fftw3.h fftw3", "libfftw3-dev", "fftw-devel", "fftw"),
    ("eigen/", "libeigen3-dev", "eigen3-devel", "eigen"),
    ("boost/ boost", "libboost-all-dev", "boost-devel", "boost"),
    ("zmq.h zmq libzmq", "libzmq3-dev", "zeromq-devel", "zeromq"),
    ("sodium.h sodium libsodium", "libsodium-dev", "libsodium-devel", "libsodium"),
    ("ev.h ev libev", "libev-dev", "libev-devel", "libev"),
    ("uv.h uv libuv", "libuv1-dev", "libuv-devel", "libuv"),
    ("ares.h cares", "libc-ares-dev", "c-ares-devel", "c-ares"),
    ("pcap.h pcap", "libpcap-dev", "libpcap-devel", "libpcap"),
    ("libusb.h libusb-1.0/ usb-1.0 libusb-1.0", "libusb-1.0-0-dev", "libusb1-devel", "libusb"),
    ("alsa/ asound", "libasound2-dev", "alsa-lib-devel", "—"),
    ("portaudio.h portaudio", "portaudio19-dev", "portaudio-devel", "portaudio"),
    ("sndfile.h sndfile", "libsndfile1-dev", "libsndfile-devel", "libsndfile"),
    ("sdl.h sdl2/ sdl2", "libsdl2-dev", "SDL2-devel", "sdl2"),
    ("x11/ x11", "libx11-dev", "libX11-devel", "libx11"),
    ("gl/ gl", "libgl-dev", "mesa-libGL-devel", "—"),
    ("ncurses.h curses.h ncurses", "libncurses-dev", "ncurses-devel", "ncurses"),
    ("readline/ readline", "libreadline-dev", "readline-devel", "readline"),
    ("uuid/ uuid", "uuid-dev", "libuuid-devel", "util-linux"),
    ("cups/ cups", "libcups2-dev", "cups-devel", "cups"),
    ("magic.h magic", "libmagic-dev", "file-devel", "libmagic"),
    ("re2/ re2", "libre2-dev", "re2-devel", "re2"),
    ("leveldb/ leveldb", "libleveldb-dev", "leveldb-devel", "leveldb"),
    ("rocksdb/ rocksdb", "librocksdb-dev", "rocksdb-devel", "rocksdb"),
    ("lmdb.h lmdb", "liblmdb-dev", "lmdb-devel", "lmdb"),
    (
        "avcodec libavcodec libavcodec/ libavformat libavformat/",
        "libavcodec-dev libavformat-dev",
        "ffmpeg-free-devel",
        "ffmpeg",
    ),
    ("mpi.h mpi mpicc", "libopenmpi-dev", "openmpi-devel", "open-mpi"),
    ("cargo rustc", "cargo", "cargo", "rust"),
    ("cmake", "cmake", "cmake", "cmake"),
    ("ninja", "ninja-build", "ninja-build", "ninja"),
    ("swig", "swig", "swig", "swig"),
    ("gfortran", "gfortran", "gcc-gfortran", "gcc"),
    ("make gmake", "make", "make", "make"),
    ("git", "git", "git", "git"),
    ("pkg-config pkgconf", "pkg-config", "pkgconf-pkg-config", "pkgconf"),
    ("autoconf autoreconf", "autoconf automake libtool", "autoconf automake libtool", "autoconf automake libtool"),
    ("go", "golang-go", "golang", "go"),
    ("javac java jni.h", "default-jdk", "java-latest-openjdk-devel", "openjdk"),
    ("protoc google/protobuf/", "protobuf-compiler libprotobuf-dev", "protobuf-devel", "protobuf"),
)
"""Headers, libraries, and programs, and what provides them (package lists of Debian 13, Fedora 43, and Homebrew)."""
