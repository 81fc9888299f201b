from mnistkit.ui.server import UiServer as UiServer

__all__ = ["UiServer"]
