"""Register of hostile films by name; a name has the suffix of its film."""

# Functions of a path that write a film to it.
FILMS = {}


def film(name):
    """Register a function of a path that writes the film of this name."""

    def register(write):
        assert name not in FILMS, name
        FILMS[name] = write
        return write

    return register


def content(name, data):
    """Register a film of these bytes, or of those that a function makes."""
    film(name)(lambda path: path.write_bytes(data() if callable(data) else data))
