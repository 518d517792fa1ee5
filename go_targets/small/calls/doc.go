// Functions give their maps on in the registers that they got them in, and what they call puts others there; some
// are needed again. A map has as many entries as the variable's name has letters.
package main
