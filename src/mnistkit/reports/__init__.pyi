from mnistkit.reports.overview import overview_page as overview_page
from mnistkit.reports.overview_data import overview_data as overview_data
from mnistkit.reports.run import run_report as run_report
from mnistkit.reports.sweep import sweep_report as sweep_report
from mnistkit.reports.writing import default_name as default_name
from mnistkit.reports.writing import write_report as write_report

__all__ = ["default_name", "overview_data", "overview_page", "run_report", "sweep_report", "write_report"]
