"""Run by Patroni when this member has got the leader's lease and is about to be promoted: while PostgreSQL
ends its recovery, the read/write Service is led here. (Should it fail, tend.py does it soon after.)"""

from pgk import *

try:
    lead(Api(), mounted_config())
except OSError as error:
    log(f"the read/write Service does not lead here yet: {error}")
