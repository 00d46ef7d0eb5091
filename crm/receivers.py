"""What crm itself reacts to, and how the kernel turns stored touchpoints into facts."""

from crm.kernel import reactions
from crm.selectors import timeline

reactions.set_touchpoint_loader(timeline.load_facts)
