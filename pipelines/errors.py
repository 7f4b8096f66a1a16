"""Every error a person can meet, in one tree. Each says what happened, with the offending value, and what to do.

StudioError
├── InvalidInput          a value that no model should ever see
│   └── UnsupportedFrames a number of frames this model cannot make
├── ModelError            a model that cannot be used
│   ├── WeightsMissing    nothing where the weights should be
│   ├── WeightsDamaged    something there, but not readable or not ours
│   ├── UnsafeModel       pickles, or code that comes with a model
│   ├── UnknownFamily     a model of a kind that nobody here can run
│   └── IncompatibleModels two models that do not share a latent space or a text encoder
├── CatalogError         the list of known models is wrong
├── DownloadError        a model that the Hub did not give
├── OutOfMemory           the device has too little memory for this request
├── DeviceLost            the GPU failed, and answers nobody any more
├── StorageError          a folder or file that cannot be read or written
├── JobError              a job that is not there, or not in a state that allows this
└── AddressInUse          the studio's port is taken
"""

from __future__ import annotations


class StudioError(Exception):
    """One sentence on what happened (quoting the value) and one on what to do.

    Args:
        happened: what went wrong, with the offending value.
        remedy: what the person can do about it.
    """

    def __init__(self, happened: str, remedy: str = "") -> None:
        self.happened = happened.strip()
        self.remedy = remedy.strip()
        super().__init__(" ".join(part for part in (self.happened, self.remedy) if part))


class InvalidInput(StudioError):
    """A value that is refused before any model sees it."""


class UnsupportedFrames(InvalidInput):
    """A number of frames that the model was not built for."""


class ModelError(StudioError):
    """A model that cannot be used."""


class WeightsMissing(ModelError):
    """No weights at the given place."""


class WeightsDamaged(ModelError):
    """A weights file that cannot be read."""


class UnsafeModel(ModelError):
    """A model that would run code of its own: pickled weights, custom pipelines."""


class UnknownFamily(ModelError):
    """A model whose family is not among those that can be run."""


class IncompatibleModels(ModelError):
    """Two models that cannot be composed."""


class CatalogError(StudioError):
    """The catalog of models cannot be used: names the file, the entry and the field."""


class DownloadError(StudioError):
    """A model that could not be fetched: no network, no consent, no such repository."""


class OutOfMemory(StudioError):
    """The device ran out of memory."""


class DeviceLost(StudioError):
    """The GPU failed in the middle of a job."""


class StorageError(StudioError):
    """A folder or file that cannot be read or written."""


class JobError(StudioError):
    """A job that does not exist or cannot do what was asked in its present state."""


class AddressInUse(StudioError):
    """The address the studio should listen on is taken."""
