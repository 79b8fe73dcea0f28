using System.Buffers.Binary;
using System.Text;

namespace X86Virt.Engine.Processor;

/// <summary>What CPUID returns (AMD volume 3, appendix E): the model's features and nothing that is not there.</summary>
internal static unsafe class CpuidLeaves
{
    private const uint Extended = 0x8000_0000, LastExtended = 0x8000_0021;
    private const uint OsXsave = 1 << 27, ApicBit = 1 << 9;
    private const uint LineSize = 64;

    /// <summary>Bits of function 1 EDX that function 0x80000001 EDX of AMD's processors repeats.</summary>
    private const uint RepeatedEdx = 0x0183_F3FF;

    public static (uint Eax, uint Ebx, uint Ecx, uint Edx) Read(Cpu cpu, uint function, uint subfunction)
    {
        ProcessorModel model = cpu.Model;
        uint last = LastStandard(model);
        // Intel's processors answer unknown functions as their last one, AMD's with zeros.
        if (function > last && function < Extended)
            return model.IsIntel ? Read(cpu, last, subfunction) : default;
        return function switch
        {
            0 => Vendor(model, last),
            1 => Function1(cpu),
            2 when model.IsIntel => (0x665B_5001, 0, 0, 0x007A_7000),
            4 when model.IsIntel => CacheParameters(subfunction),
            // One state to wait in (C1); an interrupt ends the wait only where it would be taken.
            5 when model.Has(ProcessorFeature.Monitor) => (LineSize, LineSize, 1, 1 << 4),
            // The APIC's timer runs in every state.
            6 => (4, 0, 0, 0),
            7 when subfunction == 0 => (0, model.Features.Word(FeatureRegister.Function7Ebx), model.Features.Word(FeatureRegister.Function7Ecx), 0),
            0xB => Topology(subfunction),
            0xD => StateComponents(cpu, subfunction),
            Extended => Vendor(model, model.IsIntel && !model.HasLongMode && model.Signature < 0xF00 ? Extended + 4 : LastExtended),
            Extended + 1 => Extended1(model),
            >= Extended + 2 and <= Extended + 4 => Brand(model, (int)(function - Extended - 2)),
            Extended + 5 when !model.IsIntel => (0, 0, 32u << 24 | 8 << 16 | 1 << 8 | LineSize, 32u << 24 | 8 << 16 | 1 << 8 | LineSize),
            Extended + 6 => (0, 0, 512u << 16 | 6 << 12 | 1 << 8 | LineSize, 0),
            Extended + 7 => (0, 0, 0, model.Features.Word(FeatureRegister.PowerEdx)),
            Extended + 8 => (LinearAddressBits(model) << 8 | (uint)model.PhysicalAddressBits, model.Features.Word(FeatureRegister.Extended8Ebx), 0, 0),
            Extended + 0xA when model.Has(ProcessorFeature.Svm) => model.Svm.Leaf,
            Extended + 0x21 => (model.Features.Word(FeatureRegister.Extended21Eax), 0, 0, 0),
            _ => default,
        };
    }

    private static uint LastStandard(ProcessorModel model)
    {
        if (model.Has(ProcessorFeature.Xsave))
            return 0xD;
        if (model.Features.Word(FeatureRegister.Function7Ebx) != 0)
            return 7;
        if (model.Has(ProcessorFeature.Monitor))
            return 5;
        return !model.IsIntel ? 1u : model.HasLongMode ? 4u : model.Has(ProcessorFeature.Cmov) ? 2u : 1u;
    }

    private static (uint, uint, uint, uint) Vendor(ProcessorModel model, uint last)
        => model.IsIntel ? (last, 0x756E_6547u, 0x6C65_746Eu, 0x4965_6E69u) : (last, 0x6874_7541u, 0x444D_4163u, 0x6974_6E65u);

    private static (uint, uint, uint, uint) Function1(Cpu cpu)
    {
        FeatureSet features = cpu.Model.Features;
        uint ecx = features.Word(FeatureRegister.Function1Ecx), edx = features.Word(FeatureRegister.Function1Edx);
        if ((cpu.State->Cr4 & Cr4.Osxsave) != 0)
            ecx |= OsXsave;
        // The bit goes when the APIC is switched off (AMD volume 2, 16.3.1).
        if (cpu.Bus.TryReadMsr(ModelSpecificRegisters.ApicBase, out ulong apic, out _) && (apic & (1 << 11)) == 0)
            edx &= ~ApicBit;
        return (cpu.Model.Signature, 1 << 16 | LineSize / 8 << 8, ecx, edx);
    }

    private static uint LinearAddressBits(ProcessorModel model) => model.Has(ProcessorFeature.La57) ? 57u : model.HasLongMode ? 48u : 32u;

    private static (uint, uint, uint, uint) CacheParameters(uint subfunction) => subfunction switch
    {
        0 => (0x121, 7u << 22 | (LineSize - 1), 63, 0),
        1 => (0x122, 7u << 22 | (LineSize - 1), 63, 0),
        2 => (0x143, 7u << 22 | (LineSize - 1), 1023, 0),
        _ => default,
    };

    /// <summary>One thread in one core.</summary>
    private static (uint, uint, uint, uint) Topology(uint subfunction) => subfunction switch
    {
        0 => (0, 1, 1 << 8, 0),
        1 => (0, 1, 2 << 8 | 1, 0),
        _ => (0, 0, subfunction & 0xFF, 0),
    };

    private static (uint, uint, uint, uint) StateComponents(Cpu cpu, uint subfunction)
    {
        const uint Legacy = 512 + 64, Ymm = 256;
        ulong components = cpu.Model.StateComponents;
        bool avx = (components & 4) != 0;
        return subfunction switch
        {
            0 => ((uint)components, (cpu.State->Xcr0 & 4) != 0 ? Legacy + Ymm : Legacy, avx ? Legacy + Ymm : Legacy, 0),
            1 => (cpu.Model.Features.Word(FeatureRegister.XsaveEax), (cpu.State->Xcr0 & 4) != 0 ? Legacy + Ymm : Legacy, 0, 0),
            2 when avx => (Ymm, Legacy, 0, 0),
            _ => default,
        };
    }

    private static (uint, uint, uint, uint) Extended1(ProcessorModel model)
    {
        uint edx = model.Features.Word(FeatureRegister.ExtendedEdx), ecx = model.Features.Word(FeatureRegister.ExtendedEcx);
        if (model.IsIntel)
            return (0, 0, ecx, edx);
        return (model.Signature, 0, ecx, edx | (model.Features.Word(FeatureRegister.Function1Edx) & RepeatedEdx));
    }

    private static (uint, uint, uint, uint) Brand(ProcessorModel model, int part)
    {
        Span<byte> text = stackalloc byte[48];
        text.Clear();
        Encoding.ASCII.GetBytes(model.Brand, text);
        Span<byte> piece = text.Slice(part * 16, 16);
        return (BinaryPrimitives.ReadUInt32LittleEndian(piece), BinaryPrimitives.ReadUInt32LittleEndian(piece[4..]),
            BinaryPrimitives.ReadUInt32LittleEndian(piece[8..]), BinaryPrimitives.ReadUInt32LittleEndian(piece[12..]));
    }
}
