"""The demo company: Lantern Tea 灯笼茶铺, a tea shop that does not exist.

`people`, `shop` and `voices` say what is in it; `company` puts it into an empty database through the
services that everybody else uses; `walk` sends visitors through the closed loop of a running system over
HTTP. Every name is made up, and every address ends in a domain reserved for examples, so nothing here can
reach anyone.
"""
