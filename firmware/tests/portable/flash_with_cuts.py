"""A folder in RAM whose power can be cut inside any write: what tests put in place of `Flash`."""


class PowerCutError(Exception):
    """The power failed; the object is dead, `Medium.survive` gives what the next start finds."""


class Medium:
    """The bytes that stay; counts operations and cuts the power at one of them."""

    def __init__(self, files=None):
        self.files = files or {}
        self.cut_at = None
        self.keep = 0
        self.operations = 0

    def spend(self):
        """Count an operation; True if the power fails in it."""
        if self.operations == self.cut_at:
            self.operations += 1
            return True
        if self.cut_at is not None and self.operations > self.cut_at:
            raise PowerCutError
        self.operations += 1
        return False

    def survive(self):
        """Return the medium as the next start finds it."""
        return Medium({name: bytearray(data) for name, data in self.files.items()})


class CutFile:
    def __init__(self, medium, name):
        self.medium = medium
        self.name = name
        self.position = 0

    def seek(self, position):
        self.position = position

    def read(self, length):
        data = bytes(self.medium.files[self.name][self.position : self.position + length])
        self.position += len(data)
        return data

    def close(self):
        pass


class CutFlash:
    """The interface of `flash.Flash` over a `Medium`."""

    def __init__(self, medium):
        self.medium = medium

    def names(self):
        return list(self.medium.files)

    def read(self, name):
        data = self.medium.files.get(name)
        return None if data is None else bytes(data)

    def open(self, name):
        if name not in self.medium.files:
            raise OSError(2)
        return CutFile(self.medium, name)

    def create(self, name):
        if self.medium.spend() and not self.medium.keep:
            raise PowerCutError
        self.medium.files[name] = bytearray()
        return CutFile(self.medium, name)

    def write(self, file, data):
        cut = self.medium.spend()
        if cut:
            data = bytes(data)[: len(data) * self.medium.keep // 4]
        content = self.medium.files[file.name]
        end = file.position + len(data)
        content.extend(bytes(max(0, end - len(content))))
        content[file.position : end] = data
        file.position = end
        if cut:
            raise PowerCutError

    def remove(self, name):
        if self.medium.spend() and not self.medium.keep:
            raise PowerCutError
        self.medium.files.pop(name, None)
