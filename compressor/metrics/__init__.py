"""The metrics, measured and estimated; no other package imports prometheus_client."""

from compressor.metrics.batch import LAST_SUCCESS as LAST_SUCCESS
from compressor.metrics.batch import TEXTFILE_BYTES_MAX as TEXTFILE_BYTES_MAX
from compressor.metrics.batch import batch_metrics as batch_metrics
from compressor.metrics.batch import push as push
from compressor.metrics.batch import write_textfile as write_textfile
from compressor.metrics.estimates import Estimates as Estimates
from compressor.metrics.exporter import ExporterMetrics as ExporterMetrics
from compressor.metrics.merged import Families as Families
from compressor.metrics.merged import MergedMetrics as MergedMetrics
from compressor.metrics.merged import counted as counted
from compressor.metrics.merged import families_of as families_of
from compressor.metrics.merged import merge as merge
from compressor.metrics.service import Account as Account
from compressor.metrics.service import Metrics as Metrics
