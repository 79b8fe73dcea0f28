global using unsafe Handler = delegate*<X86Virt.Engine.Processor.CpuState*, X86Virt.Engine.Processor.Op*, X86Virt.Engine.Processor.Op*>;
