//! Recovery as a whole: the figures that it must reach over simulated links.
mod figures;
