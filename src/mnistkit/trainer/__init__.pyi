from mnistkit.trainer.trainer import Trainer as Trainer

__all__ = ["Trainer"]
